"""What each command of the command line does; `cli` only reads the options.

listing   recipes
data      data
running   train, evaluate, reproduce
using     predict, convert, export
common    what several of them need
"""
