"""The main job on many machines, by Ray.

driver.py      who gets which photographs, who died, and the one manifest
worker.py      one process that holds the network and leads batches through the stages
batches.py     which photographs go out together, and again after their worker died
connection.py  how to come to a cluster, and silence
"""
