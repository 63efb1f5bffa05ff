/** Colour of one value: nothing where the model did not look, then yellow, orange and dark red. */
export function heatColour(value: number): [number, number, number, number] {
  const v = Math.min(1, Math.max(0, value));
  const red = 250 - 70 * Math.max(0, v - 0.6) * 2.5;
  const green = 215 - 190 * v;
  const blue = 70 - 50 * v;
  return [Math.round(red), Math.round(green), Math.round(blue), Math.round(255 * v ** 0.8)];
}

/** Draws values, row by row over the whole picture, smoothly enlarged. */
export function paintHeat(
  pen: CanvasRenderingContext2D,
  heat: readonly (readonly number[])[],
  opacity: number,
  width: number,
  height: number,
) {
  const columns = heat[0]?.length ?? 0;
  if (columns === 0) return;
  const small = document.createElement("canvas");
  small.width = columns;
  small.height = heat.length;
  const into = small.getContext("2d");
  if (!into) return;
  const pixels = into.createImageData(columns, heat.length);
  heat.forEach((row, y) => {
    row.forEach((value, x) => {
      pixels.data.set(heatColour(value), (y * columns + x) * 4);
    });
  });
  into.putImageData(pixels, 0, 0);
  pen.save();
  pen.globalAlpha = opacity;
  pen.imageSmoothingEnabled = true;
  pen.imageSmoothingQuality = "high";
  pen.drawImage(small, 0, 0, width, height);
  pen.restore();
}
