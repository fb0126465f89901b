"""OpenCV on one thread, to be imported from here: a worker that is forked beside OpenCV's threads may deadlock."""

import cv2

cv2.setNumThreads(1)
