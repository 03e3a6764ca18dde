"""Writes a graph with random weights, as `clockwork import --random-weights SEED` chooses them.

usage: randomise.py MODEL.onnx SEED OUT.onnx
"""

import sys

import onnx

import random_weights


def main():
    source, seed, target = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    onnx.save(random_weights.randomise(onnx.load(source), seed), target)


if __name__ == "__main__":
    main()
