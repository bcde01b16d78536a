from lacre.models.base import *
