from lacre.policy.settings import *
