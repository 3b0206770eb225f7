#include "CMeasure.h"

enum { rows = 1024, columns = 16, repetitions = 96 };
static float matrix[rows][columns];

float pacer_control(void) {
  float sums[4][columns] = {{0}};
  for (int repetition = 0; repetition < repetitions; repetition++) {
    const float factor = 1.0f + 0.001f * (float)repetition;
    for (int row = 0; row < rows; row += 4)
      for (int k = 0; k < 4; k++)
        for (int column = 0; column < columns; column++) sums[k][column] += factor * matrix[row + k][column];
  }
  float total = 0;
  for (int k = 0; k < 4; k++)
    for (int column = 0; column < columns; column++) total += sums[k][column];
  return total;
}
