/* Prints the Mandelbrot set; arguments: columns and rows. */
#include "check.h"

int main(int argc, char** argv)
{
	static const char shades[] = " .,:;i1tfLCG08@";
	int columns = argc > 1 ? atoi(argv[1]) : 78, rows = argc > 2 ? atoi(argv[2]) : 28;
	CHECK(columns > 0 && rows > 0);
	for (int row = 0; row < rows; row++) {
		for (int column = 0; column < columns; column++) {
			double cr = -2.2 + 3.2 * (column + 0.5) / columns, ci = -1.2 + 2.4 * (row + 0.5) / rows;
			double zr = 0, zi = 0;
			int steps = 0;
			for (; steps < 200 && zr * zr + zi * zi < 4; steps++) {
				double next = zr * zr - zi * zi + cr;
				zi = 2 * zr * zi + ci;
				zr = next;
			}
			putchar(steps == 200 ? '@' : shades[steps < 14 ? steps : 13]);
		}
		putchar('\n');
	}
	return 0;
}
