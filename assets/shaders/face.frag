// Silicone, eyes, teeth and base in the light of a studio, which `light.glsl` computes. Bumps without tangents: Mikkelsen,
// "Bump mapping unparametrized surfaces on the GPU", 2010. PAINTED, TWO_SIDED and SHADOWS are 1 or 0.
in vec4 world_open;  // place [m] and openness to the surroundings, 0..1
#if SHADOWS
in vec4 direction_lit;  // normal, and share of the key light that arrives
#else
in vec3 direction_lit;
#endif
#if PAINTED
in vec3 coordinates_fold;
#else
in vec3 tint;  // linear red, green, blue
#endif
out vec4 shade;

layout(std140) uniform View {
  mat4 projection;  // clip space from world
  vec3 eye;  // place of the camera [m]
  float strength;  // of all light
};
#if PAINTED
uniform sampler2D paint;  // square root of red, green, blue, and height of the fold lines
uniform vec2 height;  // [m] = first * (alpha - second); negative in a crease
#endif

#include "light.glsl"

#if PAINTED
float depth_at(vec3 place) {
  return height.x * (texture(paint, place.xy).a - height.y) * place.z;
}

// Where shadows are, the change of depth from a pixel to the next is looked up. Elsewhere it is the difference within a square
// of four pixels, which costs less and makes steps along slanting lines.
vec2 change_of_depth(float depth) {
#if SHADOWS
  return vec2(depth_at(coordinates_fold + dFdx(coordinates_fold)),
              depth_at(coordinates_fold + dFdy(coordinates_fold))) - depth;
#else
  return vec2(dFdx(depth), dFdy(depth));
#endif
}

vec3 bent_by_folds(vec3 n, vec3 world, float depth) {
  vec3 dx = dFdx(world), dy = dFdy(world);
  vec3 across_x = cross(dy, n), across_y = cross(n, dx);
  float area = dot(dx, across_x);
  vec2 change = change_of_depth(depth);
  vec3 slope = sign(area) * (change.x * across_x + change.y * across_y);
  return normalize(abs(area) * n - slope);
}
#endif

void main() {
  vec3 world = world_open.xyz, view = normalize(eye - world), n = normalize(direction_lit.xyz);
#if SHADOWS
  float lit = direction_lit.w;
#else
  const float lit = 1.0;
#endif
  float open = world_open.w;
#if TWO_SIDED
  if (dot(n, view) < 0.0) n = -n;
#endif
#if PAINTED
  vec4 painted = texture(paint, coordinates_fold.xy);
  vec3 albedo = painted.rgb * painted.rgb;
  float depth = height.x * (painted.a - height.y) * coordinates_fold.z, crease = min(depth, 0.0);
  n = bent_by_folds(n, world, depth);
  open *= max(1.0 + 480.0 * crease, 0.4);
  albedo *= max(1.0 + 200.0 * crease, 0.7);
#else
  vec3 albedo = tint;
#endif
  vec3 light = sheen(n, view, open, lit) + albedo * irradiance(n, open, lit, albedo);
  shade = vec4(developed(light * strength), 1.0);
}
