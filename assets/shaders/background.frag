// A paper background, brightest behind the head.
in vec2 at;
out vec4 shade;
uniform vec3 bright;
uniform vec3 dim;

void main() {
  float distance = length((at - vec2(0.0, 0.15)) * vec2(0.8, 0.9));
  shade = vec4(mix(bright, dim, smoothstep(0.0, 1.35, distance)), 1.0);
}
