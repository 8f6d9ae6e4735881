"""Prints the most frequent words of a text."""

import sys

from app.words import top

if "--health" in sys.argv:
    sys.exit(0)

for word, number in top("the cat and the dog and the bird", 2):
    print(word, number)
