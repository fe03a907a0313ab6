// Draws the face with the shaders of the studio, which the server sends. Vertices come with every update.

// Height of the picture where a processor draws [pixels].
const SLOW_HEIGHT = 450;

// Of the transparent skin.
const SKIN_OPACITY = 0.4;

class HeadView {
  // `scene` is what `/scene` answers, an ArrayBuffer; `eva_sim/live/scene.py` writes it. `fine` pictures are made also
  // where a processor draws them; otherwise those have fewer pixels, no shadows, and light that is computed at vertices.
  constructor(canvas, scene, fine) {
    const length = new DataView(scene).getUint32(0, true);
    this.about = JSON.parse(new TextDecoder().decode(new Uint8Array(scene, 4, length)));
    const array = (name, kind) => {
      const [at, size] = this.about.arrays[name];
      return new kind(scene, 4 + length + at, size / kind.BYTES_PER_ELEMENT);
    };
    this.canvas = canvas;
    this.displacement = this.transparent = false;
    this.angles = [0, 0];
    this.distance = 1;
    this.moving = new Float32Array(this.about.vertices * this.about.columns);
    this.slow = !fine && HeadView.drawnByProcessor();
    const gl = this.gl = canvas.getContext("webgl2", {antialias: !this.slow, alpha: false});
    if (!gl) throw new Error("This browser has no WebGL 2, which draws the head. Allow graphics acceleration in its settings; "
      + "without a graphics card start Chromium with --enable-unsafe-swiftshader, or use Firefox.");
    this.view = gl.createBuffer();
    gl.bindBuffer(gl.UNIFORM_BUFFER, this.view);
    gl.bufferData(gl.UNIFORM_BUFFER, 80, gl.DYNAMIC_DRAW);
    gl.bindBufferBase(gl.UNIFORM_BUFFER, 0, this.view);
    this.places = gl.createBuffer();
    gl.bindBuffer(gl.ARRAY_BUFFER, this.places);
    gl.bufferData(gl.ARRAY_BUFFER, this.moving.byteLength, gl.STREAM_DRAW);
    this.fixed = this.buffer(gl.ARRAY_BUFFER, array("fixed", Float32Array));
    this.triangles = this.buffer(gl.ELEMENT_ARRAY_BUFFER, array("triangles", Uint32Array));
    this.loadTexture(array("texture", Uint8Array), this.about.texture_side);
    this.makeShadow();
    this.groups = this.about.groups.map((group) => this.group({...group, ...(this.slow ? group.quick : group.fine)}));
    const painted = this.about.groups.find((group) => group.painted);
    this.mapped = this.group({...painted, ...this.about.displacement});
    this.makeBackground();
    this.cables = new CableView(this);
    this.followMouse();
    this.changed = true;
  }

  static drawnByProcessor() {
    const gl = document.createElement("canvas").getContext("webgl2");
    const info = gl && gl.getExtension("WEBGL_debug_renderer_info");
    const renderer = info ? gl.getParameter(info.UNMASKED_RENDERER_WEBGL) : "";
    if (gl) gl.getExtension("WEBGL_lose_context")?.loseContext();
    return /swiftshader|llvmpipe|software/i.test(renderer);
  }

  buffer(target, data) {
    const made = this.gl.createBuffer();
    this.gl.bindBuffer(target, made);
    this.gl.bufferData(target, data, this.gl.STATIC_DRAW);
    return made;
  }

  program(vertex, fragment) {
    const gl = this.gl, made = gl.createProgram();
    for (const [kind, text] of [[gl.VERTEX_SHADER, vertex], [gl.FRAGMENT_SHADER, fragment]]) {
      const shader = gl.createShader(kind);
      gl.shaderSource(shader, text);
      gl.compileShader(shader);
      if (!gl.getShaderParameter(shader, gl.COMPILE_STATUS)) throw new Error(gl.getShaderInfoLog(shader));
      gl.attachShader(made, shader);
    }
    gl.linkProgram(made);
    if (!gl.getProgramParameter(made, gl.LINK_STATUS)) throw new Error(gl.getProgramInfoLog(made));
    const block = gl.getUniformBlockIndex(made, "View");
    if (block !== gl.INVALID_INDEX) gl.uniformBlockBinding(made, block, 0);
    return made;
  }

  // A program with its vertices. Locations are those of the shaders: place, normal, fold; then what does not move.
  group(about) {
    const gl = this.gl, program = this.program(about.vertex, about.fragment), array = gl.createVertexArray();
    gl.bindVertexArray(array);
    const column = (buffer, stride) => (location, size, first) => {
      gl.bindBuffer(gl.ARRAY_BUFFER, buffer);
      gl.enableVertexAttribArray(location);
      gl.vertexAttribPointer(location, size, gl.FLOAT, false, 4 * stride, 4 * first);
    };
    const moving = column(this.places, this.about.columns), fixed = column(this.fixed, 6);
    moving(0, 3, 0);
    moving(1, 3, 4);
    moving(2, 1, about.fragment === this.about.displacement.fragment ? 3 : 7);
    if (about.painted) {
      fixed(3, 1, 3);
      fixed(4, 2, 4);
    } else fixed(3, 4, 0);
    gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, this.triangles);
    gl.useProgram(program);
    const at = (name) => gl.getUniformLocation(program, name);
    if (at("paint")) gl.uniform1i(at("paint"), 0);
    if (at("height")) gl.uniform2fv(at("height"), about.height);
    if (at("shadow_map")) gl.uniform1i(at("shadow_map"), 1);
    if (at("shadow_projection")) gl.uniformMatrix4fv(at("shadow_projection"), false, this.about.shadow.projection);
    return {...about, program, array};
  }

  loadTexture(pixels, side) {
    const gl = this.gl;
    gl.activeTexture(gl.TEXTURE0);
    gl.bindTexture(gl.TEXTURE_2D, gl.createTexture());
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, side, side, 0, gl.RGBA, gl.UNSIGNED_BYTE, pixels);
    gl.generateMipmap(gl.TEXTURE_2D);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.LINEAR_MIPMAP_LINEAR);
  }

  makeShadow() {
    const gl = this.gl, about = this.about.shadow;
    gl.activeTexture(gl.TEXTURE1);
    const map = gl.createTexture();
    gl.bindTexture(gl.TEXTURE_2D, map);
    gl.texStorage2D(gl.TEXTURE_2D, 1, gl.DEPTH_COMPONENT24, about.size, about.size);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_COMPARE_MODE, gl.COMPARE_REF_TO_TEXTURE);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_COMPARE_FUNC, gl.LEQUAL);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.LINEAR);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MAG_FILTER, gl.LINEAR);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_WRAP_S, gl.CLAMP_TO_EDGE);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_WRAP_T, gl.CLAMP_TO_EDGE);
    this.shadowTarget = gl.createFramebuffer();
    gl.bindFramebuffer(gl.FRAMEBUFFER, this.shadowTarget);
    gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.DEPTH_ATTACHMENT, gl.TEXTURE_2D, map, 0);
    gl.drawBuffers([gl.NONE]);
    gl.bindFramebuffer(gl.FRAMEBUFFER, null);
    const program = this.program(about.vertex, about.fragment), array = gl.createVertexArray();
    gl.bindVertexArray(array);
    gl.bindBuffer(gl.ARRAY_BUFFER, this.places);
    gl.enableVertexAttribArray(0);
    gl.vertexAttribPointer(0, 3, gl.FLOAT, false, 4 * this.about.columns, 0);
    gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, this.triangles);
    this.shadow = {program, array, ...about};
  }

  makeBackground() {
    const gl = this.gl, about = this.about.background, array = gl.createVertexArray();
    gl.bindVertexArray(array);
    this.buffer(gl.ARRAY_BUFFER, new Float32Array([-1, -1, 3, -1, -1, 3]));
    gl.enableVertexAttribArray(0);
    gl.vertexAttribPointer(0, 2, gl.FLOAT, false, 0, 0);
    const program = this.program(about.vertex, about.fragment);
    gl.useProgram(program);
    gl.uniform3fv(gl.getUniformLocation(program, "bright"), about.bright);
    gl.uniform3fv(gl.getUniformLocation(program, "dim"), about.dim);
    this.background = {program, array};
  }

  // Takes the vertices of an update, int16 shares of their scales.
  update(numbers) {
    const {vertices, columns, place_scale: place, displacement_scale: far} = this.about;
    const scales = [place, place, place, far / 0.01, 1, 1, 1, 1].map((scale) => scale / 32767);
    for (let column = 0; column < columns; column++) {
      const scale = scales[column];
      for (let i = column; i < vertices * columns; i += columns) this.moving[i] = numbers[i] * scale;
    }
    this.changed = this.moved = true;
  }

  // Place of a vertex [m].
  place(vertex) {
    const at = vertex * this.about.columns;
    return Array.from(this.moving.subarray(at, at + 3));
  }

  // Gap between the middles of the lips [m].
  mouth() {
    const [upper, lower] = this.about.mouth.map((vertex) => this.place(vertex));
    return Math.hypot(...upper.map((value, axis) => value - lower[axis]));
  }

  draw() {
    const gl = this.gl, canvas = this.canvas;
    const share = this.slow ? Math.min(1, SLOW_HEIGHT / canvas.clientHeight) : Math.min(devicePixelRatio || 1, 2);
    const width = Math.max(1, Math.round(canvas.clientWidth * share));
    const height = Math.max(1, Math.round(canvas.clientHeight * share));
    if (canvas.width !== width || canvas.height !== height) {
      [canvas.width, canvas.height] = [width, height];
      this.changed = true;
    }
    if (!this.changed) return;
    this.changed = false;
    if (this.moved) {
      gl.bindBuffer(gl.ARRAY_BUFFER, this.places);
      gl.bufferSubData(gl.ARRAY_BUFFER, 0, this.moving);
      this.moved = false;
    }
    gl.enable(gl.DEPTH_TEST);
    gl.depthFunc(gl.LEQUAL);
    if (!this.slow) this.castShadow();
    gl.bindFramebuffer(gl.FRAMEBUFFER, null);
    gl.viewport(0, 0, width, height);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
    const [projection, eye] = this.camera(width / height);
    this.setView(projection, eye);
    const shown = this.groups.map((group) => this.displacement && group.painted ? this.mapped : group);
    // The cavity of the mouth is a backdrop for the gap of the lips; through the skin it would be seen from outside.
    const solid = (group) => !(this.transparent && (group.painted || group.cavity));
    shown.filter(solid).forEach((group) => this.drawGroup(group));
    gl.disable(gl.CULL_FACE);
    gl.useProgram(this.background.program);
    gl.bindVertexArray(this.background.array);
    gl.drawArrays(gl.TRIANGLES, 0, 3);
    if (this.transparent) this.drawThrough(shown.filter((group) => group.painted), eye);
  }

  drawGroup(group) {
    const gl = this.gl;
    (group.two_sided ? gl.disable : gl.enable).call(gl, gl.CULL_FACE);
    if (!group.painted) this.giveColours(group);
    this.drawTriangles(group);
  }

  // Colours of the vertices, and how open they lie. Seen through the skin all lie open: what is not given is 1.
  giveColours(group) {
    const gl = this.gl;
    gl.bindVertexArray(group.array);
    gl.bindBuffer(gl.ARRAY_BUFFER, this.fixed);
    gl.vertexAttribPointer(3, this.transparent ? 3 : 4, gl.FLOAT, false, 24, 0);
  }

  // Draws the cables, and the skin over them as glass.
  drawThrough(skin, eye) {
    const gl = this.gl;
    this.cables.draw(eye);
    gl.enable(gl.BLEND);
    gl.blendColor(0, 0, 0, SKIN_OPACITY);
    gl.blendFunc(gl.CONSTANT_ALPHA, gl.ONE_MINUS_CONSTANT_ALPHA);
    gl.depthMask(false);
    skin.forEach((group) => this.drawGroup(group));
    gl.depthMask(true);
    gl.disable(gl.BLEND);
  }

  castShadow() {
    const gl = this.gl;
    gl.bindFramebuffer(gl.FRAMEBUFFER, this.shadowTarget);
    gl.viewport(0, 0, this.shadow.size, this.shadow.size);
    gl.clear(gl.DEPTH_BUFFER_BIT);
    gl.enable(gl.CULL_FACE);
    if (this.transparent) return;  // glass casts none
    this.setView(this.shadow.projection, [0, 0, 0]);
    this.drawTriangles(this.shadow);
  }

  drawTriangles(group) {
    const gl = this.gl;
    gl.useProgram(group.program);
    gl.bindVertexArray(group.array);
    gl.drawElements(gl.TRIANGLES, group.count, gl.UNSIGNED_INT, 4 * group.first);
  }

  setView(projection, eye) {
    const gl = this.gl;
    gl.bindBuffer(gl.UNIFORM_BUFFER, this.view);
    gl.bufferSubData(gl.UNIFORM_BUFFER, 0, new Float32Array([...projection, ...eye, 1]));
  }

  // Clip space from world, column by column, and the place of the camera.
  camera(aspect) {
    const {position, target, field_of_view: field} = this.about.camera;
    const [yaw, pitch] = this.angles, reach = this.distance * Math.hypot(...position.map((p, i) => p - target[i]));
    const z = [Math.sin(yaw) * Math.cos(pitch), Math.sin(pitch), Math.cos(yaw) * Math.cos(pitch)];
    const x = [Math.cos(yaw), 0, -Math.sin(yaw)];
    const y = [z[1] * x[2] - z[2] * x[1], z[2] * x[0] - z[0] * x[2], z[0] * x[1] - z[1] * x[0]];
    const eye = target.map((t, i) => t + reach * z[i]);
    // A narrow canvas shows the same width of the head as a square one.
    const up = 1 / Math.tan(field * Math.PI / 360) * Math.min(1, aspect), near = 0.1, far = 3;
    const dot = (a) => a[0] * eye[0] + a[1] * eye[1] + a[2] * eye[2];
    const depth = (far + near) / (near - far), shift = 2 * far * near / (near - far);
    const columns = [];
    for (let i = 0; i < 3; i++) columns.push(up / aspect * x[i], up * y[i], depth * z[i], -z[i]);
    columns.push(-up / aspect * dot(x), -up * dot(y), -depth * dot(z) + shift, dot(z));
    return [columns, eye];
  }

  turn(yaw, pitch) {
    this.angles = [yaw, Math.max(-1.2, Math.min(1.2, pitch))];
    this.changed = true;
  }

  followMouse() {
    const canvas = this.canvas;
    let from = null;
    canvas.addEventListener("pointerdown", (event) => {
      from = [event.clientX, event.clientY, ...this.angles];
      canvas.setPointerCapture(event.pointerId);
    });
    canvas.addEventListener("pointermove", (event) => {
      if (from) this.turn(from[2] - (event.clientX - from[0]) / 150, from[3] + (event.clientY - from[1]) / 150);
    });
    for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, () => { from = null; });
    canvas.addEventListener("dblclick", () => this.turn(0, 0));
    canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      this.distance = Math.max(0.4, Math.min(2.5, this.distance * Math.exp(event.deltaY / 1000)));
      this.changed = true;
    }, {passive: false});
  }
}
