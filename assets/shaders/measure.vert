// Places a vertex.
layout(location = 0) in vec3 position;  // m
uniform mat4 projection;  // clip space from the part

void main() {
  gl_Position = projection * vec4(position, 1.0);
}
