from lacre.cache_keys import *
