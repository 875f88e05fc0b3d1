"""Cut rows out of a grey 8-bit PNG page: crop_line.py PAGE.png LINE.png TOP BOTTOM"""
import sys

import png

if __name__ == "__main__":
    page = png.read(sys.argv[1])[:, :, 0]
    png.write_grey(sys.argv[2], page[int(sys.argv[3]):int(sys.argv[4])])
