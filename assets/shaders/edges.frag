// Smooths edges: finds how far the edge at a pixel runs along its row or column, and shifts the pixel across it by the
// share that a straight line between its ends would cover. After Lottes, "FXAA", NVIDIA, 2009. Only loops are left early
// on a processor that draws, so the search is inside of one that ends at once where there is no edge.
in vec2 at;
out vec4 shade;
uniform sampler2D picture;
uniform int most;  // 1; not a constant, so that the loop stays one

const float LEAST_CONTRAST = 0.03, LEAST_SHARE = 0.08;  // absolute, and of the brightest neighbour
const int REACH = 10;  // pixels that an edge is followed to either side

float brightness(vec2 where) {
  return dot(texture(picture, where).rgb, vec3(0.299, 0.587, 0.114));
}

// Brightness of one pixel; what lies beyond the border is as the border.
float at_pixel(int x, int y) {
  ivec2 last = textureSize(picture, 0) - 1;
  return dot(texelFetch(picture, clamp(ivec2(x, y), ivec2(0), last), 0).rgb, vec3(0.299, 0.587, 0.114));
}

void main() {
  vec2 pixel = 1.0 / vec2(textureSize(picture, 0)), where = 0.5 + 0.5 * at, shift = vec2(0.0);
  int x = int(gl_FragCoord.x), y = int(gl_FragCoord.y);
  float here = at_pixel(x, y), north = at_pixel(x, y + 1), south = at_pixel(x, y - 1);
  float east = at_pixel(x + 1, y), west = at_pixel(x - 1, y);
  float most_bright = max(here, max(max(north, south), max(east, west)));
  float range = most_bright - min(here, min(min(north, south), min(east, west)));
  for (int i = 0; i < most; i++) {
    if (range < max(LEAST_CONTRAST, LEAST_SHARE * most_bright)) break;
    float ne = at_pixel(x + 1, y + 1), sw = at_pixel(x - 1, y - 1);
    float nw = at_pixel(x - 1, y + 1), se = at_pixel(x + 1, y - 1);
    float rows = abs(nw - 2.0 * west + sw) + 2.0 * abs(north - 2.0 * here + south) + abs(ne - 2.0 * east + se);
    float columns = abs(nw - 2.0 * north + ne) + 2.0 * abs(west - 2.0 * here + east) + abs(sw - 2.0 * south + se);
    bool level = rows >= columns;  // whether the edge runs along the row
    float ahead = level ? north : east, behind = level ? south : west;
    bool forwards = abs(ahead - here) >= abs(behind - here);
    float steep = max(abs(ahead - here), abs(behind - here)), beyond = forwards ? ahead : behind;
    vec2 across = (level ? vec2(0.0, pixel.y) : vec2(pixel.x, 0.0)) * (forwards ? 1.0 : -1.0);
    vec2 along = level ? vec2(pixel.x, 0.0) : vec2(0.0, pixel.y);
    float middle = 0.5 * (here + beyond), one = 0.0, two = 0.0, end_one = 0.0, end_two = 0.0;
    vec2 between = where + 0.5 * across;  // the filter of the texture gives the mean of both sides
    for (int j = 0; j < REACH && abs(end_one) < 0.25 * steep; j++)
      end_one = brightness(between - along * (one += 1.0)) - middle;
    for (int j = 0; j < REACH && abs(end_two) < 0.25 * steep; j++)
      end_two = brightness(between + along * (two += 1.0)) - middle;
    bool nearer = one < two;
    // A pixel is shifted only where the edge leaves to its own side.
    if ((nearer ? end_one : end_two) < 0.0 != here < middle)
      shift = across * (0.5 - min(one, two) / (one + two));
  }
  shade = vec4(texture(picture, where + shift).rgb, 1.0);
}
