from lacre.policy import *
