from lacre.models.response import *
