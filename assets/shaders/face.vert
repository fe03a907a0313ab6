#version 330
// Places a vertex; normals are turned with the part.
layout(location = 0) in vec3 position;  // m
layout(location = 1) in vec3 normal;
layout(location = 2) in float fold;  // compression of the skin across its fold lines, 0..1
layout(location = 3) in vec4 colour;  // linear red, green, blue, and openness to the surroundings, 0..1
layout(location = 4) in vec2 uv;
uniform mat4 placement;  // world from part
uniform mat4 projection;  // clip space from world
out vec3 world;
out vec3 direction;
out vec4 tint;
out vec2 coordinates;
out float folded;

void main() {
  vec4 point = placement * vec4(position, 1.0);
  world = point.xyz;
  direction = mat3(placement) * normal;
  tint = colour;
  coordinates = uv;
  folded = fold;
  gl_Position = projection * point;
}
