from lacre.backends.base import *
