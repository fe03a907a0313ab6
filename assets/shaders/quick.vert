// The face where a processor draws: light is computed at vertices, of which there are fewer than pixels. Without shadows
// and without the relief of the folds. PAINTED and TWO_SIDED are 1 or 0.
layout(location = 0) in vec3 position;  // in the world [m]
layout(location = 1) in vec3 normal;  // of any length
layout(location = 2) in float fold;  // compression of the skin across its fold lines, 0..1
#if PAINTED
layout(location = 3) in float open;  // to the surroundings, 0..1
layout(location = 4) in vec2 uv;
uniform sampler2D paint;  // square root of red, green, blue, and height of the fold lines
out vec3 coordinates_fold;
#else
layout(location = 3) in vec4 colour;  // linear red, green, blue, and openness
#endif
layout(std140) uniform View {
  mat4 projection;  // clip space from world
  vec3 eye;  // place of the camera [m]
  float strength;  // of all light
};
out vec3 received;  // from all sides, as a white surface sends it back; of a surface without paint: its colour
out vec3 mirrored;  // towards the camera

#include "light.glsl"

void main() {
  vec3 n = normal * inversesqrt(max(dot(normal, normal), 1e-30)), view = normalize(eye - position);
#if TWO_SIDED
  if (dot(n, view) < 0.0) n = -n;
#endif
#if PAINTED
  coordinates_fold = vec3(uv, fold);
  vec3 root = textureLod(paint, uv, 4.0).rgb;
  received = irradiance(n, open, 1.0, root * root) * strength;
  mirrored = sheen(n, view, open, 1.0) * strength;
#else
  vec3 light = sheen(n, view, colour.a, 1.0) + colour.rgb * irradiance(n, colour.a, 1.0, colour.rgb);
  received = developed(light * strength);
  mirrored = vec3(0.0);
#endif
  gl_Position = projection * vec4(position, 1.0);
}
