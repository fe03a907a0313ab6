// Projects a vertex. With SHADOWS, it also looks how much of the key light arrives: the
// shadow of a soft box is so soft that vertices suffice.
layout(location = 0) in vec3 position;  // in the world [m]
layout(location = 1) in vec3 normal;  // of any length
layout(location = 2) in float fold;  // compression of the skin across its fold lines, 0..1
#if PAINTED
layout(location = 3) in float open;  // to the surroundings, 0..1
layout(location = 4) in vec2 uv;
#else
layout(location = 3) in vec4 colour;  // linear red, green, blue, and openness
#endif
layout(std140) uniform View {
  mat4 projection;  // clip space from world
  vec3 eye;  // place of the camera [m]
  float strength;  // of all light
};
out vec4 world_open;  // place [m] and openness
#if SHADOWS
out vec4 direction_lit;  // normal, and share of the key light that arrives
#else
out vec3 direction_lit;
#endif
#if PAINTED
out vec3 coordinates_fold;
#else
out vec3 tint;
#endif

#if SHADOWS
uniform sampler2DShadow shadow_map;
uniform mat4 shadow_projection;

// The mean of 16 comparisons.
float key_visibility(vec3 world, vec3 towards) {
  vec3 q = (shadow_projection * vec4(world + 0.0015 * towards, 1.0)).xyz * 0.5 + 0.5;
  float sum = 0.0;
  for (int i = 0; i < 4; i++)
    for (int j = 0; j < 4; j++)
      sum += textureLod(shadow_map, vec3(q.xy + (vec2(i, j) - 1.5) * SHADOW_STEP, q.z - 0.0012), 0.0);
  return sum / 16.0;
}
#endif

void main() {
  vec3 direction = normal * inversesqrt(max(dot(normal, normal), 1e-30));
#if SHADOWS
  direction_lit = vec4(direction, key_visibility(position, direction));
#else
  direction_lit = direction;
#endif
#if PAINTED
  world_open = vec4(position, open);
  coordinates_fold = vec3(uv, fold);
#else
  world_open = vec4(position, colour.a);
  tint = colour.rgb;
#endif
  gl_Position = projection * vec4(position, 1.0);
}
