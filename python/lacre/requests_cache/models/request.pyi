from lacre.models.request import *
