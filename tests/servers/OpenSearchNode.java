import org.codelibs.opensearch.runner.OpenSearchRunner;

/** One OpenSearch node until the process is ended. Arguments: a folder, then settings as name=value. */
public class OpenSearchNode {
    public static void main(String[] arguments) throws Exception {
        OpenSearchRunner runner = new OpenSearchRunner();
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            try {
                runner.close();
            } catch (Exception error) {
                error.printStackTrace();
            }
        }));
        runner.onBuild((number, settings) -> {
            for (int i = 1; i < arguments.length; i++) {
                String[] setting = arguments[i].split("=", 2);
                settings.put(setting[0], setting[1]);
            }
        });
        runner.build(OpenSearchRunner.newConfigs().clusterName("triaged").numOfNode(1).basePath(arguments[0]).useLogger());
        Thread.currentThread().join();
    }
}
