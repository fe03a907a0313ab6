// The face where a processor draws: paint, in the light that `quick.vert` computed. PAINTED is 1 or 0.
in vec3 received;  // light, as a white surface sends it back; of a surface without paint: its colour
in vec3 mirrored;  // light towards the camera
out vec4 shade;
#if PAINTED
in vec3 coordinates_fold;
uniform sampler2D paint;  // square root of red, green, blue, and height of the fold lines
uniform vec2 height;  // [m] = first * (alpha - second); negative in a crease

#include "light.glsl"

void main() {
  vec4 painted = texture(paint, coordinates_fold.xy);
  float crease = min(height.x * (painted.a - height.y) * coordinates_fold.z, 0.0);
  vec3 albedo = painted.rgb * painted.rgb * max(1.0 + 200.0 * crease, 0.7);
  shade = vec4(developed(albedo * received * max(1.0 + 480.0 * crease, 0.4) + mirrored), 1.0);
}
#else
void main() {
  shade = vec4(received, 1.0);
}
#endif
