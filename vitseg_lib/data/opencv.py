"""OpenCV with one thread: a picture is too small to share, and a worker forked beside a pool of them may wait for ever.

from vitseg_lib.data.opencv import cv2
"""

import cv2

cv2.setNumThreads(1)
