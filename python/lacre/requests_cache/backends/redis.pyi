from lacre.backends.redis import *
