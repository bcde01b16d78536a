from lacre.policy.expiration import *
