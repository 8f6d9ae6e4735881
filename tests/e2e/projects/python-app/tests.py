"""Tests of the application."""

import unittest

from app.words import top


class Top(unittest.TestCase):
    def test_most_frequent_first(self):
        self.assertEqual(top("b a b", 1), [("b", 2)])

    def test_ties_are_alphabetical(self):
        self.assertEqual(top("b a", 2), [("a", 1), ("b", 1)])
