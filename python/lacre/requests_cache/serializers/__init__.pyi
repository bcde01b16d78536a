from lacre.serializers import *
