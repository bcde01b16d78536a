from lacre.models import *
