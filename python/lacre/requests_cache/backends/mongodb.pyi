from lacre.backends.mongodb import *
