// Silicone, eyes, teeth and base in the light of a studio: soft boxes and a sky.
//
// A soft box is a spherical Gaussian, radiance * exp(sharpness * (dot(d, axis) - 1)) (Wang et al., "All-frequency
// rendering of dynamic, spatially-varying reflectance", SIGGRAPH Asia 2009). Its reflection in a rough surface is again
// one, which makes soft lights as cheap as points. The Fresnel term is Schlick's. Bumps without tangents: Mikkelsen,
// "Bump mapping unparametrized surfaces on the GPU", 2010. An exponential is drawn as a 16th power, (1 + x/16)^16, which is
// cheaper on a processor and looks the same.
//
// `eva_sim/rendering/studio_light.py` writes what is constant above this text: a processor that draws computes both sides of
// a branch, and loads uniforms slowly. BOXES lights have axes AXIS, of which the first is the key light's, and send back the
// light DIFFUSE from a white surface that faces them. SURFACE and CLEAR_COAT are their reflections: radiance, and a 16th of
// the sharpness. WRAP and WRAPPED are factor and offset of the cosine in red, green and blue. COAT and GLINT are the
// strengths of the clear coat and of the lights' own reflection in a wet surface. PAINTED,
// TWO_SIDED and SHADOWS are 1 or 0.
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

const float REFLECTANCE = 0.04;  // of silicone, glass and water, seen straight on

vec3 ambient(vec3 d) {
  return mix(FLOOR, SKY, 0.5 + 0.5 * d.y);
}

float lobe(float sharpness, float cosine) {
  float x = max(sharpness * (cosine - 1.0) + 1.0, 0.0);
  x *= x;
  x *= x;
  x *= x;
  return x * x;
}

vec3 reflection(const vec4 lobes[BOXES], vec3 d, float lit) {
  vec3 sum = ambient(d) * 0.55;
  for (int i = 0; i < BOXES; i++)
    sum += lobes[i].rgb * (lobe(lobes[i].a, dot(d, AXIS[i])) * (i == 0 ? lit : 1.0));
  return sum;
}

vec3 irradiance(vec3 n, float open, float lit, vec3 albedo) {
  // A crease of bright skin is filled with light of its own colour.
  vec3 sum = ambient(n) * (open * 0.55) * mix(vec3(1.0), albedo, 1.0 - open), direct = vec3(0.0);
  for (int i = 0; i < BOXES; i++)
    direct += DIFFUSE[i] * max(vec3(0.0), dot(n, AXIS[i]) * WRAP + WRAPPED) * (i == 0 ? 0.25 + 0.75 * lit : 1.0);
  return sum + direct * (0.4 + 0.6 * open);
}

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
  float facing = max(dot(n, view), 0.0), grazing = 1.0 - facing, fresnel = grazing * grazing;
  fresnel *= fresnel * grazing;
  vec3 mirrored = reflect(-view, n);
  // Less is reflected where the surroundings are hidden (Lagarde and de Rousiers, 2014).
  float unhidden = clamp((facing + open) * (facing + open) - 1.0 + open, 0.0, 1.0);
  vec3 light = reflection(SURFACE, mirrored, lit) * ((REFLECTANCE + 0.36 * fresnel) * 0.55);
  if (COAT > 0.0) light += reflection(CLEAR_COAT, mirrored, lit) * ((REFLECTANCE + 0.5 * fresnel) * (COAT * 0.4));
  light = light * unhidden + albedo * irradiance(n, open, lit, albedo);
  if (GLINT > 0.0)
    light += GLINT * open * (2.6 * lit * smoothstep(0.972, 0.985, dot(mirrored, AXIS[0]))
                             + 0.25 * smoothstep(0.94, 0.97, dot(mirrored, AXIS[1])));
  light *= strength;
  light = light * (1.0 + 0.12 * light) / (1.0 + 0.55 * light) * 1.18;  // bright tones are compressed
  shade = vec4(pow(light, vec3(1.0 / 2.2)), 1.0);
}
