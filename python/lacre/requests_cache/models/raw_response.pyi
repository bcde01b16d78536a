from lacre.models.raw_response import *
