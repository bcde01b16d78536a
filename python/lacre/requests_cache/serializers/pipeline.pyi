from lacre.serializers.pipeline import *
