"""The parts of a training run that `train.py`, the loop, is read without.

distributed.py   several processes: who am I, averages, batch norm over all of them
material.py      from --data and --val to a training and a validation set
networks.py      generator and discriminator as a recipe wants them, started and loaded
objective.py     what the generator is asked for; the pictures that the discriminator sees
adversary.py     the regimes: what discriminator and generator are told by each other
optimization.py  optimisers, learning rate, moving average
precision.py     where networks compute in fewer bits
players.py       everybody together, and the state that a resumed run starts from
validation.py    figures on the validation set
run.py           the run folder: recipe, split, log, checkpoints
keeper.py        log lines, judgements, pictures and checkpoints as the run goes on
plots.py         curves.png, samples/*.png, histograms
checks.py        what is refused before anything is read: parts of a recipe that do not fit
estimate.py      steps and memory before anything is spent
memory.py        when there is not enough of it
"""
