#version 330
// Silicone, eyes, teeth and base in the light of a studio: soft boxes and a sky.
//
// A soft box is a spherical Gaussian, radiance * exp(sharpness * (dot(d, axis) - 1)) (Wang et al., "All-frequency
// rendering of dynamic, spatially-varying reflectance", SIGGRAPH Asia 2009). Its reflection in a rough surface is again
// one, which makes soft lights as cheap as points. The Fresnel term is Schlick's. Bumps without tangents: Mikkelsen,
// "Bump mapping unparametrized surfaces on the GPU", 2010. SHADOWS is 1 or 0 and set before compiling, because a processor
// that draws computes both sides of a branch.
in vec3 world;
in vec3 direction;
in vec4 tint;
in vec2 coordinates;
in float folded;
out vec4 shade;

const int BOXES = 4;
uniform vec4 boxes[BOXES];  // axis and sharpness; the first one is the key light, which casts the shadow
uniform vec3 radiances[BOXES];
uniform vec3 sky;
uniform vec3 floor_light;
uniform vec3 eye;  // place of the camera [m]
uniform float strength;  // of all light

uniform bool textured;
uniform sampler2D paint;
uniform float roughness;
uniform float coat;  // strength of the clear coat
uniform float glint;  // strength of the lights' own reflection in a wet surface
uniform float scatter;  // how far red light creeps around into the shade
uniform float fold_depth;  // m
uniform sampler2D fold_lines;  // height in fold depths, negative in a crease

uniform sampler2DShadow shadow_map;
uniform mat4 shadow_projection;

const float PI = 3.14159265;
const float COAT_ROUGHNESS = 0.22;
const float REFLECTANCE = 0.04;  // of silicone, glass and water, seen straight on

vec3 ambient(vec3 d) {
  return mix(floor_light, sky, 0.5 + 0.5 * d.y);
}

// Share of the key light that arrives: the mean of 16 comparisons, for a soft edge.
float key_visibility(vec3 normal) {
#if SHADOWS
  vec3 q = (shadow_projection * vec4(world + 0.0015 * normal, 1.0)).xyz * 0.5 + 0.5;
  float texel = 1.6 / float(textureSize(shadow_map, 0).x);
  float sum = 0.0;
  for (int i = 0; i < 4; i++)
    for (int j = 0; j < 4; j++)
      sum += texture(shadow_map, vec3(q.xy + (vec2(i, j) - 1.5) * texel, q.z - 0.0012));
  return sum / 16.0;
#else
  return 1.0;
#endif
}

vec3 reflection(vec3 d, float rough, float visible) {
  float lobe = 0.5 / pow(max(rough, 0.1), 4.0);
  vec3 sum = ambient(d) * 0.55;
  for (int i = 0; i < BOXES; i++) {
    float sharpness = boxes[i].w * lobe / (boxes[i].w + lobe);
    float share = sharpness / boxes[i].w * exp(sharpness * (dot(d, boxes[i].xyz) - 1.0));
    sum += radiances[i] * share * (i == 0 ? visible : 1.0);
  }
  return sum;
}

float wrapped(float cosine, float width) {
  return max(0.0, (cosine + width) / (1.0 + width));
}

vec3 irradiance(vec3 n, float open, float visible, vec3 albedo) {
  // A crease of bright skin is filled with light of its own colour.
  vec3 sum = ambient(n) * open * mix(vec3(1.0), albedo, 1.0 - open) * PI * 0.55;
  for (int i = 0; i < BOXES; i++) {
    float cosine = dot(n, boxes[i].xyz);
    vec3 seen = vec3(wrapped(cosine, 0.22 + scatter), wrapped(cosine, 0.22), wrapped(cosine, 0.22));
    float arrives = i == 0 ? mix(0.25, 1.0, visible) : 1.0;
    sum += radiances[i] * 2.0 * PI / boxes[i].w * seen * arrives * mix(open, 1.0, 0.4);
  }
  return sum;
}

vec3 bent_by_folds(vec3 n, float height) {
  vec3 dx = dFdx(world), dy = dFdy(world);
  vec3 across_x = cross(dy, n), across_y = cross(n, dx);
  float area = dot(dx, across_x);
  vec3 slope = sign(area) * (dFdx(height) * across_x + dFdy(height) * across_y);
  return normalize(abs(area) * n - slope);
}

void main() {
  vec3 albedo = tint.rgb;
  if (textured) albedo *= pow(texture(paint, coordinates).rgb, vec3(2.2));
  vec3 view = normalize(eye - world), n = normalize(direction);
  if (dot(n, view) < 0.0) n = -n;
  float open = tint.a;
  if (fold_depth > 0.0) {
    float height = texture(fold_lines, coordinates).r * folded * fold_depth;
    n = bent_by_folds(n, height);
    float crease = min(height, 0.0);
    open *= clamp(1.0 + 480.0 * crease, 0.4, 1.0);
    albedo *= clamp(1.0 + 200.0 * crease, 0.7, 1.0);
  }
  float visible = key_visibility(n);
  float facing = max(dot(n, view), 0.0), fresnel = pow(1.0 - facing, 5.0);
  vec3 mirrored = reflect(-view, n);
  // Less is reflected where the surroundings are hidden (Lagarde and de Rousiers, 2014).
  float unhidden = clamp(pow(facing + open, 2.0) - 1.0 + open, 0.0, 1.0);
  vec3 light = albedo * irradiance(n, open, visible, albedo) / PI;
  light += reflection(mirrored, roughness, visible) * (REFLECTANCE + 0.36 * fresnel) * unhidden * 0.55;
  light += coat * reflection(mirrored, COAT_ROUGHNESS, visible) * (REFLECTANCE + 0.5 * fresnel) * unhidden * 0.4;
  light += glint * open * (2.6 * visible * smoothstep(0.972, 0.985, dot(mirrored, boxes[0].xyz))
                           + 0.25 * smoothstep(0.94, 0.97, dot(mirrored, boxes[1].xyz)));
  light *= strength;
  light = light * (1.0 + 0.12 * light) / (1.0 + 0.55 * light) * 1.18;  // bright tones are compressed
  shade = vec4(pow(light, vec3(1.0 / 2.2)), 1.0);
}
