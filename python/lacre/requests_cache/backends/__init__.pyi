from lacre.backends import *
