from lacre.session import *
