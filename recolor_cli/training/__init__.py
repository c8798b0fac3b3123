"""The parts of a training run that `train.py`, the loop, is read without.

distributed.py   several processes: who am I, averages, batch norm over all of them
networks.py      generator and discriminator as a recipe wants them, started and loaded
objective.py     what the generator is asked for; the pictures that the discriminator sees
optimization.py  optimisers, learning rate, moving average
validation.py    figures on the validation set
run.py           the run folder: recipe, split, log, checkpoints
plots.py         curves.png and samples/*.png
estimate.py      steps and memory before anything is spent
"""
