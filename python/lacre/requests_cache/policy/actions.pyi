from lacre.policy.actions import *
