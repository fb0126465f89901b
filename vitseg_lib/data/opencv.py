"""OpenCV with one thread: a picture is too small to share, and a worker forked beside a pool of them may wait for ever.

Whatever uses `cv2` in this library imports it from here.
"""

import cv2

cv2.setNumThreads(1)
