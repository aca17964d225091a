/** Prints the configuration file that is installed. */
import { configurationTemplate } from "../src/config/template.ts";

process.stdout.write(configurationTemplate());
