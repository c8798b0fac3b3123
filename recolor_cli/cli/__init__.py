"""The command line: check, translate, call one verb, print. Imports no torch, cv2 or numpy."""
