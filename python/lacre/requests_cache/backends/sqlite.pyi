from lacre.backends.sqlite import *
