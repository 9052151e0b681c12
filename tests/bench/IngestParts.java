// What a server does with a document around and in an ingest script, part by part, on one thread and without an index.
// Prints a line a part: its name, and the microseconds of processor time a document in the best of the rounds.
// Arguments: a file of documents, one JSON object a line; a JSON file with the script's source and params; rounds.

import java.lang.management.ManagementFactory;
import java.lang.management.ThreadMXBean;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.opensearch.common.settings.Settings;
import org.opensearch.common.xcontent.XContentHelper;
import org.opensearch.common.xcontent.XContentType;
import org.opensearch.core.common.bytes.BytesArray;
import org.opensearch.core.common.bytes.BytesReference;
import org.opensearch.core.common.util.CollectionUtils;
import org.opensearch.core.xcontent.XContentBuilder;
import org.opensearch.index.VersionType;
import org.opensearch.ingest.IngestDocument;
import org.opensearch.painless.PainlessModulePlugin;
import org.opensearch.script.IngestScript;

public class IngestParts {
    private static final int AT_ONCE = 200;
    private static final ThreadMXBean THREADS = ManagementFactory.getThreadMXBean();
    private static long kept;

    interface Part {
        void run(byte[] text, IngestDocument document) throws Exception;
    }

    public static void main(String[] arguments) throws Exception {
        List<byte[]> texts = new ArrayList<>();
        for (String line : Files.readAllLines(Path.of(arguments[0]))) {
            texts.add(line.getBytes("UTF-8"));
        }
        Map<String, Part> parts = parts(map(Files.readAllBytes(Path.of(arguments[1]))));
        Map<String, Double> best = new LinkedHashMap<>();
        for (int round = 0; round < Integer.parseInt(arguments[2]); round++) {
            for (Map.Entry<String, Part> part : parts.entrySet()) {
                best.merge(part.getKey(), microseconds(texts, part.getValue()), Math::min);
            }
        }
        best.forEach((name, spent) -> System.out.println(name + " " + spent));
        if (kept == 0) {
            throw new IllegalStateException("nothing was done");
        }
    }

    private static Map<String, Part> parts(Map<String, Object> script) {
        Map<String, Part> parts = new LinkedHashMap<>();
        parts.put("parse", (text, document) -> kept += read(text).getSourceAndMetadata().size());
        parts.put("write", (text, document) -> {
            document.extractMetadata();
            XContentBuilder builder = XContentBuilder.builder(XContentType.JSON.xContent());
            kept += BytesReference.bytes(builder.map(document.getSourceAndMetadata())).length();
        });
        parts.put("copy", (text, document) -> kept += new IngestDocument(document).getSourceAndMetadata().size());
        parts.put("cycles", (text, document) ->
            CollectionUtils.ensureNoSelfReferences(document.getSourceAndMetadata(), "ingest script"));
        IngestScript ours = compiled(script);
        parts.put("script", (text, document) -> ours.execute(document.getSourceAndMetadata()));
        return parts;
    }

    @SuppressWarnings("unchecked")
    private static IngestScript compiled(Map<String, Object> script) {
        IngestScript.Factory factory = new PainlessModulePlugin()
            .getScriptEngine(Settings.EMPTY, List.of(IngestScript.CONTEXT))
            .compile("ours", (String) script.get("source"), IngestScript.CONTEXT, Map.of());
        return factory.newInstance((Map<String, Object>) script.get("params"));
    }

    // Every part gets documents that nothing has touched; reading them does not count.
    private static double microseconds(List<byte[]> texts, Part part) throws Exception {
        long spent = 0;
        List<IngestDocument> documents = new ArrayList<>();
        for (int start = 0; start < texts.size(); start += AT_ONCE) {
            List<byte[]> some = texts.subList(start, Math.min(start + AT_ONCE, texts.size()));
            documents.clear();
            for (byte[] text : some) {
                documents.add(read(text));
            }
            long begun = THREADS.getCurrentThreadCpuTime();
            for (int i = 0; i < some.size(); i++) {
                part.run(some.get(i), documents.get(i));
            }
            spent += THREADS.getCurrentThreadCpuTime() - begun;
        }
        return spent / 1000.0 / texts.size();
    }

    private static IngestDocument read(byte[] text) {
        return new IngestDocument("logs", "1", null, -3L, VersionType.INTERNAL, map(text));
    }

    private static Map<String, Object> map(byte[] text) {
        return XContentHelper.convertToMap(new BytesArray(text), false, XContentType.JSON).v2();
    }
}
