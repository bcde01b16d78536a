from lacre.serializers.preconf import *
