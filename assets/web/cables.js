// The free ends of the cables, from the mouths of their tubes to the skin: ribbons that face the camera.

const CABLE_WIDTH = 0.0016;  // m
const SLACK_COLOUR = [0.45, 0.47, 0.5], TAUT_COLOUR = [0.9, 0.12, 0.05];

const CABLE_VERTEX = `#version 300 es
layout(location = 0) in vec3 position;
layout(location = 1) in vec3 colour;
layout(std140) uniform View {
  mat4 projection;
  vec3 eye;
  float strength;
};
out vec3 shown;
void main() {
  shown = colour;
  gl_Position = projection * vec4(position, 1.0);
}`;
const CABLE_FRAGMENT = `#version 300 es
precision highp float;
in vec3 shown;
out vec4 shade;
void main() { shade = vec4(shown, 1.0); }`;

class CableView {
  // `view` is the `HeadView` that draws them.
  constructor(view) {
    const gl = this.gl = view.gl;
    this.program = view.program(CABLE_VERTEX, CABLE_FRAGMENT);
    this.array = gl.createVertexArray();
    this.vertices = gl.createBuffer();
    gl.bindVertexArray(this.array);
    gl.bindBuffer(gl.ARRAY_BUFFER, this.vertices);
    for (const [location, first] of [[0, 0], [1, 12]]) {
      gl.enableVertexAttribArray(location);
      gl.vertexAttribPointer(location, 3, gl.FLOAT, false, 24, first);
    }
    [this.ends, this.shares] = [[], []];
  }

  // Takes both ends of each cable, six numbers [m], and the share of a full bar that each pulls.
  update(ends, shares) {
    [this.ends, this.shares] = [ends, shares];
  }

  draw(eye) {
    const gl = this.gl, rows = this.shares.flatMap((share, cable) => this.ribbon(cable, share, eye));
    gl.useProgram(this.program);
    gl.bindVertexArray(this.array);
    gl.bindBuffer(gl.ARRAY_BUFFER, this.vertices);
    gl.bufferData(gl.ARRAY_BUFFER, new Float32Array(rows), gl.STREAM_DRAW);
    gl.drawArrays(gl.TRIANGLES, 0, rows.length / 6);
  }

  ribbon(cable, share, eye) {
    const from = this.ends.slice(6 * cable, 6 * cable + 3), to = this.ends.slice(6 * cable + 3, 6 * cable + 6);
    const along = to.map((value, i) => value - from[i]), towards = eye.map((value, i) => value - from[i]);
    const across = [0, 1, 2].map((i) => along[(i + 1) % 3] * towards[(i + 2) % 3] - along[(i + 2) % 3] * towards[(i + 1) % 3]);
    const half = 0.5 * CABLE_WIDTH / Math.max(Math.hypot(...across), 1e-9);
    const colour = SLACK_COLOUR.map((value, i) => value + (TAUT_COLOUR[i] - value) * share);
    const corner = (end, side) => [...end.map((value, i) => value + side * half * across[i]), ...colour];
    const [a, b, c, d] = [corner(from, -1), corner(from, 1), corner(to, 1), corner(to, -1)];
    return [a, b, c, a, c, d].flat();
  }
}
