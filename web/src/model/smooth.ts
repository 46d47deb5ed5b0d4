/**
 * Exponential moving average with bias correction (Kingma and Ba 2015, "Adam", section 3).
 *
 * `weight` is in [0, 1): 0 returns the values, 0.99 is very smooth. NaN stays NaN and does not enter the average.
 */
export function smoothExponential(values: Float64Array, weight: number): Float64Array {
  const result = new Float64Array(values.length);
  let average = 0;
  let correction = 1;
  values.forEach((value, index) => {
    if (!Number.isFinite(value)) {
      result[index] = Number.NaN;
      return;
    }
    average = weight * average + (1 - weight) * value;
    correction *= weight;
    result[index] = average / (1 - correction);
  });
  return result;
}
