import { Redis, redisInstalled } from "./redis.ts";
import { describeSurvival } from "./survival.ts";

describeSurvival("Redis", redisInstalled, (place) => new Redis(place));
