#version 330
// Places a vertex, and measures how far it is along the viewing axis.
layout(location = 0) in vec3 position;  // m
uniform mat4 placement;  // world from part
uniform mat4 projection;  // clip space from world
uniform vec4 viewing;  // dot product with a world point: its distance along the viewing axis [m]
out float distance;

void main() {
  vec4 point = placement * vec4(position, 1.0);
  distance = dot(viewing, point);
  gl_Position = projection * point;
}
