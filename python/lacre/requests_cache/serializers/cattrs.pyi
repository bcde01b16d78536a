from lacre.serializers.cattrs import *
