// How far the skin is from rest, as a colour: blue at rest, then green and yellow, red from one centimetre on.
in vec4 world_open;
in vec3 direction_lit;
in vec3 coordinates_fold;  // the last is the displacement, of a centimetre
out vec4 shade;

vec3 scale_of_colours(float x) {
  // Turbo, approximated by its own polynomials (Mikhailov, Google AI blog, 2019), without its dark ends.
  x = 0.1 + 0.8 * clamp(x, 0.0, 1.0);
  vec4 powers = vec4(1.0, x, x * x, x * x * x);
  vec2 higher = powers.zw * powers.z;
  return vec3(dot(powers, vec4(0.1357, 4.6154, -42.6603, 132.1311)) + dot(higher, vec2(-152.9424, 59.2864)),
              dot(powers, vec4(0.0914, 2.1942, 4.8430, -14.1850)) + dot(higher, vec2(4.2773, 2.8296)),
              dot(powers, vec4(0.1067, 12.6419, -60.5820, 110.3628)) + dot(higher, vec2(-89.9031, 27.3482)));
}

void main() {
  float light = 0.55 + 0.45 * max(dot(normalize(direction_lit), normalize(vec3(-0.3, 0.5, 0.8))), 0.0);
  shade = vec4(scale_of_colours(coordinates_fold.z) * light, 1.0);
}
