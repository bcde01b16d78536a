from lacre.backends.filesystem import *
